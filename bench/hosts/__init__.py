"""What ``speed_hosts`` starts beside itself: traffic, and processes that speak JSON lines."""
