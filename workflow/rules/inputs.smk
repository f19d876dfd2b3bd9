# Input functions: which files a job reads if a pattern cannot say it, by the file of rules that uses them.


# prepare


raw_paths = cache(exit_on_user_error(lambda dataset: raw_data(experiment, dataset)))

# Once per run, because this reads the time stamp of each file. The spec contains a SHA-256 of the raw files, so changes
# are detected by content.
MEMORY = Path(".snakemake/segunc/digests.json")
digests = cache(exit_on_user_error(lambda dataset: raw_digests(experiment, dataset, MEMORY)))


def raw_input(wildcards):
    return {name: ancient(path) for name, path in raw_paths(Cell.of(wildcards).dataset).items()}


def raw_options(wildcards, input):
    return [f"--raw {quote(f'{name}={path}')}" for name, path in input.items()]


def prepare_spec(wildcards):
    cell = Cell.of(wildcards)
    return specs.prepare(experiment, cell, digests(cell.dataset))


# sample


def weights_behind(wildcards):
    """The weights of the cell's training, or of that of the model that its model wraps."""
    return file_of(("train", cells.training_behind(experiment, Cell.of(wildcards))), "weights")


# import_predictions


predicted = cache(exit_on_user_error(lambda *cell: predictions(experiment, *cell)))
predicted_digest = cache(exit_on_user_error(lambda *cell: predictions_digest(experiment, *cell, MEMORY)))


def predictions_of(wildcards):
    cell = Cell.of(wildcards)
    return ancient(predicted(cell.dataset, cell.model, cell.seed))


def import_spec(wildcards):
    cell = Cell.of(wildcards)
    return specs.import_predictions(experiment, cell, predicted_digest(cell.dataset, cell.model, cell.seed))


# evaluate


def samples_of_cell(wildcards):
    """The samples of the cell's model, from its network or from files."""
    return file_of(cells.samples(experiment, Cell.of(wildcards)), "samples")


# tabulate


SCORED = cells.scored(experiment)


# figures


def histories_of_runs(wildcards):
    """The histories of all trained models and seeds of a dataset."""
    runs = cells.own_trainings(experiment, Cell.of(wildcards).dataset)
    return present([("train", cell) for cell in runs], "history")


def samples_of_models(wildcards):
    """The samples of every model, of the first seed."""
    of_model = Cell.of(wildcards)._replace(seed=grid.seeds[0])
    return present([cells.samples(experiment, of_model._replace(model=model)) for model in grid.models], "samples")


# active


ROUNDS = [("active_evaluate", cell) for cell in cells.rounds(active)]
SCORED_ROUNDS = [step for step in ROUNDS if step not in experiment.reasons]


@exit_on_user_error
def labelled_in(cell):
    """The labelled images of a round."""
    return file_of(acquisition(experiment, cell), "labelled")


def labelled(wildcards):
    return labelled_in(Cell.of(wildcards))


def labelled_before(wildcards):
    return labelled_in(Cell.of(wildcards).previous_round)


def weights_before(wildcards):
    return file_of(("active_train", Cell.of(wildcards).previous_round), "weights")


# active_figures


def full_data_summary(wildcards):
    """The table with the scores of the same models trained on all images, if the main grid has any of them."""
    return [rules.tabulate.output.summary] if cells.shares_models(experiment) else []


def first_picks(wildcards):
    of_strategies = cells.first_picks(active, Cell.of(wildcards).dataset).values()
    return present([acquisition(experiment, cell) for cell in of_strategies], "labelled")


# assemble


@cache
def figures_of_grids():
    """The job that plots each figure of the grids, by its PNG file."""
    found = {}
    of_active = active.datasets if cells.has_rounds(active) else []
    for names, datasets in ((FIGURES, grid.datasets), (ACTIVE_FIGURES, of_active)):
        for name, dataset, metric in product(names, datasets, cells.LEARNING_CURVES):
            pattern = getattr(rules, f"plot_{name}").output.png
            of_both = Cell(dataset, metric=metric).wildcards.items()
            cell = Cell.of({name: value for name, value in of_both if f"{{{name}}}" in pattern})
            found[cell.fill(pattern)] = (f"plot_{name}", cell)
    return found


def figures_present(wildcards):
    return [path for path, step in figures_of_grids().items() if step not in experiment.reasons]


def tables_present(wildcards):
    steps = [("claims_tabulate", Cell()), ("tabulate", Cell())]
    steps += [("active_tabulate", Cell())] if cells.has_rounds(active) else []
    written = [getattr(rules, step[0]).output for step in steps if step not in experiment.reasons]
    return [path for output in written for path in output if path.endswith(".csv")]


def claims_present(wildcards):
    return present([("claims_tabulate", Cell())], "markdown")


def answer_present(wildcards):
    return present([("answer", Cell())], "answered")


def stores_present(wildcards):
    return present([("prepare", Cell(dataset)) for dataset in grid.datasets], "store")


def tested_cells():
    """The cells of the main grid whose test images the report shows."""
    return [
        Cell(dataset, model, seed=grid.seeds[0]) for dataset, models in specs.tested(experiment) for model in models
    ]


def samples_of_tested(wildcards):
    return present([cells.samples(experiment, cell) for cell in tested_cells()], "samples")


def scores_of_tested(wildcards):
    return present([("evaluate", cell) for cell in tested_cells()], "images")


@cache
def caption_of(name):
    """The text of a caption, as a template of Snakemake's report."""
    return Path(workflow.basedir, f"workflow/report/{name}.rst").read_text(encoding="utf-8")


@cache
def spec_of_report():
    figures, tables = [], []
    for path in figures_present(None):
        step, cell = figures_of_grids()[path]
        name = step.removeprefix("plot_")
        section, title = TITLES[name]
        title = title.format_map(cell.wildcards)
        title += f": {experiment.datasets[cell.dataset].label}" if cell.dataset else ""
        figures.append((path, title, section, caption_of(name), cell.wildcards))
    for path in tables_present(None):
        name = Path(path).stem
        tables.append((path, name, "Tables", caption_of(f"tables/{name}"), {}))
    return specs.assemble(experiment, Cell(), figures, tables, asset_digests())


def report_spec(wildcards):
    return spec_of_report()


# targets


def figure_files(names, datasets):
    """PNG and PDF of each figure, one pair per dataset or metric if its path has that wildcard."""
    outputs = [getattr(rules, f"plot_{name}").output for name in names]
    files = [file for output in outputs for file in (output.png, output.pdf)]
    return files_of(files, [Cell(d, metric=m) for d in datasets for m in cells.LEARNING_CURVES])
