"""The coordinator's pages, and those of an agency's lead: what routing shows and does is asked as that person."""
