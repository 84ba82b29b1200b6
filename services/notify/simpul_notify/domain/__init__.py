"""Rules of notify: who is alerted, by which message and when, what it says, and when an alert ends."""
