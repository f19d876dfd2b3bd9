"use strict";
const byId = (id) => document.getElementById(id);

// Tables: DataTables and a table are built when the table is opened first, as it measures its columns.
function insert(template) {
  const copy = template.content.cloneNode(true);
  template.replaceWith(copy);
}
function openTable(details) {
  const library = byId("library");
  if (library) insert(library);
  const template = details.querySelector("template");
  if (template) insert(template);
  // What itables shows where scripts are not allowed.
  details.querySelector("[id$=_fallback]")?.remove();
}
for (const details of document.querySelectorAll("details.table")) {
  details.addEventListener("toggle", () => details.open && openTable(details));
}

// Verdicts: a colour each, by their words.
for (const cell of document.querySelectorAll(".prose td, .prose strong")) {
  cell.dataset.verdict = cell.textContent.trim().replace(/^.*: /, "");
}

// Figures: enlarged to their own size.
const enlarged = byId("enlarged");
for (const image of document.querySelectorAll(".figures img")) {
  image.addEventListener("click", () => {
    enlarged.firstElementChild.src = image.src;
    enlarged.showModal();
  });
}
enlarged.addEventListener("click", () => enlarged.close());

// Test images. Their pictures are in blocks of JSON, each of which is parsed when one of its images is shown.
function browser(index) {
  const PER_PAGE = 60;
  const blocks = new Map();
  const controls = {};
  for (const name of ["dataset", "model", "sort", "order", "votes", "outcome", "dice", "text"]) controls[name] = byId(name);
  let data = null;
  let shown = [];
  let page = 0;
  let open = 0;

  function picture(kind, image) {
    const id = `${kind}-${controls.dataset.value}-${Math.floor(image / data.block)}`;
    if (!blocks.has(id)) blocks.set(id, JSON.parse(byId(id).textContent));
    return `data:image/webp;base64,${blocks.get(id)[image % data.block]}`;
  }

  const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const ofImage = {
    disagreement: "annotator disagreement",
    foreground: "foreground",
    votes: "annotators who marked something",
  };

  function fill(select, options) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  }

  function chooseDataset() {
    data = index.datasets[controls.dataset.value];
    const { votes, annotators } = data.images;
    const most = Math.max(0, ...annotators);
    const counts = [...new Set(votes)].sort((a, b) => a - b);
    const options = counts.map((count) => [count, most > 1 ? `${count} annotator${count === 1 ? "" : "s"}` : count ? "the annotator" : "nobody"]);
    fill(controls.model, data.models.map((model, m) => [m, model.label]));
    fill(controls.votes, [["any", "any number"], ...(most > 1 ? [["some", "some but not all"], ["all", "all"]] : []), ...options]);
    fill(controls.outcome, [["any", "any"], ...index.outcomes.map((name, o) => [o, name])]);
    const scores = data.models.length ? index.scores.map((score) => [score.name, score.label]) : [];
    fill(controls.sort, [...scores, ...Object.entries(ofImage), ["id", "id"]]);
    update();
  }

  function values(name) {
    return name in ofImage || name === "id" ? data.images[name] : data.models[controls.model.value].scores[name];
  }

  function worstFirst() {
    const better = index.scores.find((score) => score.name === controls.sort.value)?.higher_is_better;
    controls.order.value = better === true || controls.sort.value === "id" ? "1" : "-1";
  }

  function isShown(image) {
    const { votes, annotators, id } = data.images;
    const wanted = controls.votes.value;
    if (wanted === "some" && !(votes[image] > 0 && votes[image] < annotators[image])) return false;
    if (wanted === "all" && votes[image] !== annotators[image]) return false;
    if (/^\d+$/.test(wanted) && votes[image] !== Number(wanted)) return false;
    if (!id[image].toLowerCase().includes(controls.text.value.trim().toLowerCase())) return false;
    const model = data.models[controls.model.value];
    if (!model) return true;
    if (controls.outcome.value !== "any" && model.outcomes[image] !== Number(controls.outcome.value)) return false;
    return controls.dice.value === "1" || (model.scores.dice[image] ?? 2) <= Number(controls.dice.value);
  }

  function update() {
    const key = values(controls.sort.value);
    const sign = Number(controls.order.value);
    const order = (a, b) => {
      if (key[a] === key[b]) return a - b;
      if (key[a] === null) return 1;
      if (key[b] === null) return -1;
      return key[a] < key[b] ? -sign : sign;
    };
    byId("dice-value").value = Number(controls.dice.value).toFixed(2);
    shown = [...data.images.id.keys()].filter(isShown).sort(order);
    show(0);
  }

  function show(number_) {
    page = number_;
    const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
    const total = data.images.id.length;
    byId("count").textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")} images`;
    byId("page").textContent = `page ${page + 1} of ${pages}`;
    byId("before").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
    const key = values(controls.sort.value);
    const many = Math.max(0, ...data.images.annotators) > 1;
    const nodes = shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((image, k) => {
      const node = document.createElement("button");
      node.type = "button";
      node.className = "thumbnail";
      node.dataset.image = image;
      node.title = data.images.id[image];
      const photo = new Image();
      photo.src = picture("thumbnails", image);
      photo.alt = data.images.id[image];
      const line = document.createElement("span");
      const value = document.createElement("b");
      value.textContent = controls.sort.value === "id" ? "" : number(key[image], controls.sort.value === "votes" ? 0 : 3);
      const votes = document.createElement("span");
      votes.textContent = many ? `${data.images.votes[image]}/${data.images.annotators[image]}` : "";
      votes.title = "annotators who marked something";
      line.append(value, votes);
      node.append(photo, line);
      node.addEventListener("click", () => detail(page * PER_PAGE + k));
      return node;
    });
    if (!nodes.length) {
      const nothing = document.createElement("p");
      nothing.className = "nothing";
      nothing.textContent = "No image fits these filters.";
      nodes.push(nothing);
    }
    byId("thumbnails").replaceChildren(...nodes);
  }

  // One image, all models.
  function tile(row, column, side) {
    const [height, width] = data.tile;
    const scale = side / Math.max(height, width);
    const node = document.createElement("span");
    node.className = "tile";
    node.style.width = `${width * scale}px`;
    node.style.height = `${height * scale}px`;
    node.style.backgroundImage = "var(--tiles)";
    node.style.backgroundSize = `${data.columns * width * scale}px ${(1 + data.models.length) * height * scale}px`;
    node.style.backgroundPosition = `${-column * width * scale}px ${-row * height * scale}px`;
    return node;
  }

  function cell(name, content, className = "") {
    const node = document.createElement(name);
    node.className = className;
    node.append(content);
    return node;
  }

  function detail(place) {
    open = place;
    const image = shown[place];
    const { id, patient, votes, annotators, foreground, disagreement } = data.images;
    const many = annotators[image] > 1;
    byId("detail").style.setProperty("--tiles", `url("${picture("tiles", image)}")`);
    byId("detail-title").textContent = id[image];
    byId("detail-place").textContent = `${(place + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}`;
    byId("detail-before").disabled = place === 0;
    byId("detail-next").disabled = place === shown.length - 1;
    byId("detail-image").src = picture("thumbnails", image);
    const facts = [`patient ${patient[image]}`, `foreground ${number(100 * foreground[image], 1)} %`];
    if (many) facts.unshift(`marked by ${votes[image]} of ${annotators[image]} annotators`);
    if (many) facts.push(`annotator disagreement ${number(disagreement[image])}`);
    byId("detail-facts").textContent = facts.join(" · ");
    byId("detail-annotators").replaceChildren(
      ...Array.from({ length: annotators[image] }, (_, a) => {
        const node = document.createElement("figure");
        node.append(tile(0, a, 55), many ? `${a + 1}` : "annotator");
        node.title = `annotator ${a + 1}`;
        return node;
      }),
    );
    const samples = Math.max(0, ...data.models.map((model) => model.samples));
    const heads = [cell("th", ""), cell("th", "mean"), cell("th", "entropy")];
    for (let s = 0; s < samples; s++) heads.push(cell("th", `sample ${s + 1}`));
    for (const { label } of index.scores) heads.push(cell("th", label.replace(/ (?=\S+$)/, "\n"), "number"));
    heads.push(cell("th", "outcome", "outcome"));
    const table = byId("detail").querySelector("table");
    // As large as the window allows: beside the tiles there are the image, labels and scores, above them the heads.
    const across = (0.97 * innerWidth - 960) / (2 + samples);
    const down = (0.96 * innerHeight - 150) / Math.max(1, data.models.length) - 6;
    const side = Math.max(44, Math.min(across, down, 128));
    table.tHead.replaceChildren(cell("tr", ""));
    table.tHead.rows[0].replaceChildren(...heads);
    table.tBodies[0].replaceChildren(
      ...data.models.map((model, m) => {
        const row = document.createElement("tr");
        if (String(m) === controls.model.value) row.className = "chosen";
        row.append(cell("td", model.label));
        for (let column = 0; column < 2 + samples; column++) {
          row.append(cell("td", column < 2 + model.samples ? tile(m + 1, column, side) : ""));
        }
        for (const { name } of index.scores) row.append(cell("td", number(model.scores[name][image], 3), "number"));
        row.append(cell("td", index.outcomes[model.outcomes[image]], "outcome"));
        return row;
      }),
    );
    if (!byId("detail").open) byId("detail").showModal();
  }
  const turn = (step) => open + step >= 0 && open + step < shown.length && detail(open + step);

  fill(controls.dataset, index.datasets.map((dataset, d) => [d, dataset.label]));
  controls.dataset.addEventListener("change", chooseDataset);
  controls.sort.addEventListener("change", () => { worstFirst(); update(); });
  for (const name of ["model", "order", "votes", "outcome"]) controls[name].addEventListener("change", update);
  for (const name of ["dice", "text"]) controls[name].addEventListener("input", update);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("before").addEventListener("click", () => show(page - 1));
  byId("next").addEventListener("click", () => show(page + 1));
  byId("detail-before").addEventListener("click", () => turn(-1));
  byId("detail-next").addEventListener("click", () => turn(1));
  byId("detail-close").addEventListener("click", () => byId("detail").close());
  byId("detail").addEventListener("click", (event) => event.target === byId("detail") && byId("detail").close());
  byId("detail").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
  chooseDataset();
  worstFirst();
  update();
}

// The first page of thumbnails is made when it is about to be seen.
const images = byId("images");
if (images) {
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      browser(JSON.parse(byId("index").textContent));
    },
    { rootMargin: "400px" },
  );
  watch.observe(images);
}

// A link to a table opens it.
function openLinked() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches("details")) target.open = true;
}
addEventListener("hashchange", openLinked);
openLinked();
