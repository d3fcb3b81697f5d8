"""What tests share: runs made by hand, servers on loopback, a local hub."""
