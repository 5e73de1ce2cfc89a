"""What an exchange says and what to answer, without a socket: parsing, sessions, repair."""
