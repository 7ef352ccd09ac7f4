"""What only chapters and pages of the book need: experiments, figures, results, checks of exercises."""
