"""Everything pure: no socket, no clock, no dice, no logging."""
