"""What people look at afterwards: charts, and the report of a back-test."""
