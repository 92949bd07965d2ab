"""What a rendered shot is judged by: pure measures of lips and pictures, and the limits they are held to."""
