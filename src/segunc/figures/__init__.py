"""Figures, one file each: programs that read tables and samples only."""
