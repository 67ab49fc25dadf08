"""What cbox-init does for PHP images: sizes the pool of PHP-FPM, and prepares the application's directories.

Imported only where a configuration needs it.
"""
