# What an agency's engineer types on the first day, with the wheels alone and without a network.
python3 -m venv venv
venv/bin/pip install --quiet --no-index --find-links wheels simpul-agency
venv/bin/simpul-agency new consumer.py
venv/bin/simpul-agency conform "venv/bin/python consumer.py" --report report
