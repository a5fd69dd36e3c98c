"""What all pages that the project writes share: HTML templates, and text for Markdown."""
