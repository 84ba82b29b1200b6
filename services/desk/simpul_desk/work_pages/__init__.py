"""The pages on which the people of a hosted agency work."""
