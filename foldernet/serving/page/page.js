const MOST_BYTES = 32e6, AT_ONCE = 4, CLASSES_SHOWN = 5, RETRIES = 30;
const $ = id => document.getElementById(id);
const percent = share => `${(100 * share).toFixed(1)}%`;

// Requests

let token = sessionStorage.getItem("token"), waiting;

/** Resolves once a person has given a token; all that need one wait for the same. */
function tokenGiven() {
  waiting ??= new Promise(resolve => {
    $("refused").textContent = token ? "That is not the token of this server." : "";
    $("token").hidden = false;
    $("secret").focus();
    $("token").onsubmit = event => {
      event.preventDefault();
      token = $("secret").value;
      sessionStorage.setItem("token", token);
      $("token").hidden = true;
      waiting = undefined;
      resolve();
    };
  });
  return waiting;
}

/** The response to a request that a person with a token, and some patience, makes. */
async function ask(path, body) {
  for (let tried = 0; ; tried++) {
    const used = token, headers = used ? { Authorization: `Bearer ${used}` } : {};
    const response = await fetch(path, { method: body ? "POST" : "GET", body, headers })
      .catch(() => { throw new Error("The server can't be reached."); });
    if (response.status === 401) {
      if (used === token) await tokenGiven();
    } else if (response.status === 503 && tried < RETRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise(resolve => setTimeout(resolve, 1000 * seconds));
    } else if (response.ok) {
      return response;
    } else {
      throw new Error((await response.json().catch(() => ({}))).detail ?? `Error ${response.status}`);
    }
  }
}

// The model

async function showModel() {
  const model = await (await ask("model")).json();
  const size = model.image_size.toReversed().join("×");
  $("run").textContent = document.title = model.run;
  $("about").textContent = `Tells ${model.classes.length} classes apart`;
  const facts = [["Image size", size, "pixels, as the network sees them"]];
  if (model.accuracy != null) facts.push(["Accuracy", percent(model.accuracy), "of validation images are right"]);
  if (model.calibration_error != null)
    facts.push(["Calibration error", model.calibration_error.toFixed(3), "how far probabilities are off"]);
  $("facts").replaceChildren(...facts.map(([name, ...values]) => {
    const tile = document.createElement("div");
    tile.append(element("dt", name), ...values.map(value => element("dd", value)));
    return tile;
  }));
  $("classes").replaceChildren(...model.classes.map(name => element("li", name)));
  $("model").hidden = false;
  if ($("classes").scrollHeight > $("classes").clientHeight) $("classes").tabIndex = 0;  // it scrolls
}

function element(name, text, ...classes) {
  const made = document.createElement(name);
  made.textContent = text;
  made.classList.add(...classes);
  return made;
}

// Answers

const files = [];
let running = 0;

function add(given) {
  const cards = [...given].map(file => {
    const card = $("answer").content.cloneNode(true).firstElementChild;
    const image = card.querySelector(".given");
    image.src = URL.createObjectURL(file);
    image.alt = file.name;
    image.onerror = () => {  // a browser may not know a format that the server does
      image.hidden = true;
      image.parentElement.classList.add("blank");
    };
    card.querySelector(".file").textContent = file.name;
    files.push([file, card]);
    return card;
  });
  if (!cards.length) return;
  $("results").prepend(...cards);
  $("found").hidden = false;
  $("said").textContent = cards.length === 1 ? "Looking at an image" : `Looking at ${cards.length} images`;
  while (running < AT_ONCE && files.length) work();
}

async function work() {
  running++;
  while (files.length) {
    const [file, card] = files.shift();
    if (!card.isConnected) continue;
    try {
      if (file.size > MOST_BYTES) throw new Error(`It has more than ${MOST_BYTES / 1e6} MB. Save it smaller.`);
      const [found] = await (await ask(`predict?top=${CLASSES_SHOWN}`, file)).json();
      if (found.error) throw new Error(`It can't be read: ${found.error}`);
      show(found, file, card);
    } catch (error) {
      fail(card, file, error);
    }
  }
  running--;
}

function fail(card, file, error) {
  const state = card.querySelector(".state");
  state.textContent = error.message;
  state.classList.add("error");
  state.hidden = false;
  $("said").textContent = `${file.name}: ${error.message}`;
}

function show(found, file, card) {
  card.querySelector(".state").hidden = true;
  card.querySelector(".best strong").textContent = found.class;
  card.querySelector(".share").textContent = percent(found.probability);
  card.querySelector("caption").textContent = `Probabilities of ${file.name}`;
  card.querySelector("tbody").replaceChildren(...found.top.filter(worthShowing).map(row));
  for (const part of card.querySelectorAll(".best, table, .actions")) part.hidden = false;
  for (const part of card.querySelectorAll(".unknown, .doubt")) part.hidden = !found.unknown;
  card.classList.toggle("doubtful", found.unknown);
  const explain = card.querySelector(".explain");
  explain.setAttribute("aria-label", `Show heat map of ${file.name}`);
  explain.addEventListener("click", () => toggleHeat(explain, file, card));
  const doubt = found.unknown ? ", but unknown" : "";
  $("said").textContent = `${file.name}: ${found.class}, ${percent(found.probability)}${doubt}`;
}

/** All but those that would be 0.0%; two at least. */
function worthShowing({ probability }, place) {
  return place < 2 || probability >= 0.0005;
}

function row({ class: name, probability }) {
  const line = document.createElement("tr"), head = element("th", name), cell = document.createElement("td");
  const track = element("span", "", "track"), bar = element("span", "", "bar");
  head.scope = "row";
  bar.style.setProperty("--share", probability);
  track.append(bar);
  cell.append(track);
  cell.setAttribute("aria-hidden", "true");
  line.append(head, cell, element("td", percent(probability)));
  return line;
}

async function toggleHeat(button, file, card) {
  const figure = card.querySelector(".heat"), image = figure.querySelector("img");
  if (!image.src) {
    button.disabled = true;
    try {
      image.src = URL.createObjectURL(await (await ask("explain", file)).blob());
      image.alt = `Where ${card.querySelector("strong").textContent} comes from in ${file.name}: bright parts count`;
      $("said").textContent = `The heat map of ${file.name} is there`;
    } catch (error) {
      fail(card, file, error);
      return;
    } finally {
      button.disabled = false;
      button.focus();
    }
  }
  figure.hidden = !figure.hidden;
  const verb = figure.hidden ? "Show" : "Hide";
  button.setAttribute("aria-expanded", String(!figure.hidden));
  button.setAttribute("aria-label", `${verb} heat map of ${file.name}`);
  button.textContent = `${verb} heat map`;
}

// What a person does

for (const input of [$("choose"), $("photograph")])
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";  // so that the same one can be chosen again
  });
addEventListener("paste", event => add(event.clipboardData.files));
addEventListener("dragover", event => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", event => event.relatedTarget || document.body.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("over");
  add(event.dataTransfer.files);
});
$("clear").addEventListener("click", () => {
  for (const image of document.querySelectorAll("#results img")) URL.revokeObjectURL(image.src);
  $("results").replaceChildren();
  $("found").hidden = true;
  $("said").textContent = "Cleared";
  $("choose").focus();
});
showModel().catch(error => { $("about").textContent = error.message; });
