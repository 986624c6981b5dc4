"""What the commands of servers share."""
