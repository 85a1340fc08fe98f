"""What the console's routes share: queries and pages of lists, views of calls, streamed tracks."""
