"""The command line `segunc`: one module per subcommand, each with `main(arguments) -> int`; `main` dispatches to them.

Here belongs what a person types: parsing arguments, printing, and downloading data (`download`). What a command
computes lives in the package that it is about (`plan`, `workflow`, `data`), and nothing imports a command.
"""
