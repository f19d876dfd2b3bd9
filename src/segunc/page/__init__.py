"""The report of a run: one HTML page with its answer, claims, figures, tables and test images.

The page loads nothing from anywhere: styles, scripts and images are in it. `page.html.j2` is its template, `page.css`
and `page.js` are its style and its program.
"""
