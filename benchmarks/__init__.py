"""What the project says about speed, as commands; README.md here tells how to run them."""
