"""Code that only the book needs: encoders of chapters, figures, tables of results, checks of exercises."""
