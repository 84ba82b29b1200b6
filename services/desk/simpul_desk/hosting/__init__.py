"""Agencies without a system of their own: the desk runs the public kit for each, with its keys, queue and store.

What the folder of an agency holds is what `simpul-agency run` needs, so an agency leaves by taking its folder along.
"""
