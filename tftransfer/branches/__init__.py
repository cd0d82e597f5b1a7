"""Small networks that learn beside a frozen backbone, or beside a shared one."""
