#!/bin/sh
# Installs what an image needs into /opt/simpul.
#
#   install.sh foreign MEMBER...  the packages that members of the workspace need, which the lock names
#   install.sh members MEMBER...  the members themselves
#
# The lock is for the whole workspace, so `pip compile` chooses the subset needed here; --require-hashes with the lock
# as constraints then takes no version and no file that the lock does not name.
set -eu
what=$1
shift
uv=/opt/uv/bin/uv
python=/opt/simpul/bin/python

case $what in
foreign)
  [ -e $python ] || $uv venv --quiet /opt/simpul
  printf './%s\n' "$@" > members.txt
  own=$(sed -n 's/^name = "\(simpul-[a-z]*\)"$/--no-emit-package \1/p' ./*/*/pyproject.toml)
  # shellcheck disable=SC2086 # one word for each option and each name
  $uv pip compile --quiet --python $python --constraint requirements.lock members.txt $own --output-file needed.txt
  $uv pip install --quiet --python $python --require-hashes --constraint requirements.lock --requirement needed.txt
  cd /opt/simpul/lib/python3*/site-packages
  # What nothing here reads: places of phone numbers, formats of other languages, sources of compiled modules, tests.
  rm -rf phonenumbers/geodata phonenumbers/carrierdata phonenumbers/tzdata sqlalchemy/testing alembic/testing
  find . -path './babel/locale-data/*.dat' ! -name 'root.dat' ! -name 'en*.dat' ! -name 'id*.dat' -delete
  find . -path './apprise/i18n/*' ! -path './apprise/i18n/en*' ! -path './apprise/i18n/id*' ! -name '*.py' -delete
  find . -regex '.*\.\(pyx\|pxd\|pxi\|pyi\|c\|cpp\|h\)' -delete
  find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
  # Symbols for debuggers; libraries in *.libs were edited after their build, which `strip` does not expect.
  find . -name '*.so' ! -path './*.libs/*' -exec strip --strip-unneeded {} +
  $python -m compileall -q .
  ;;
members)
  # shellcheck disable=SC2046 # one word for each folder
  $uv pip install --quiet --python $python --compile-bytecode --no-deps $(printf './%s\n' "$@")
  ;;
*)
  echo "install.sh: foreign or members, not $what" >&2
  exit 2
  ;;
esac
