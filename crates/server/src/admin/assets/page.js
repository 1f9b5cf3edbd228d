// The page while it is open: what the node tells once a second, handed to those
// who draw it.
import { Farm } from "/map.js";
import { Figures } from "/figures.js";
import { serveSessions } from "/sessions.js";

const at = (id) => document.getElementById(id);
const live = at("live");
const farm = new Farm(at("map"), at("nodes"), at("overlaps"), document.body.dataset.drill !== undefined);
const figures = new Figures(at("tiles"));

function say(isOn, text) {
  live.hidden = false;
  live.classList.toggle("on", isOn);
  // A screen reader is told of a change, and not once a second.
  if (live.textContent !== text) live.textContent = text;
}

function take(event) {
  const told = JSON.parse(event.data);
  say(true, "live");
  if (at("headline").textContent !== told.headline) {
    at("headline").textContent = told.headline;
    document.title = told.headline;
  }
  farm.draw(told.picture);
  if (told.history) figures.begin(told.history);
  else figures.add(told.sample);
  figures.draw();
  for (const id of ["hint", "map", "figures"]) at(id).hidden = false;
}

// What stands in words is asked for anew while somebody may read it.
async function refreshWords() {
  if (document.hidden || !live.classList.contains("on")) return;
  try {
    const answer = await fetch("/", { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const words = page.querySelector(".words");
    if (words) document.querySelector(".words").replaceWith(document.adoptNode(words));
  } catch {
    // The events tell that the node is gone.
  }
}

const events = new EventSource("/api/events");
events.onmessage = take;
events.onerror = () => {
  say(false, "the node does not answer");
  // A browser does not try again by itself where it was refused.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
};
addEventListener("pagehide", () => events.close());
setInterval(refreshWords, 5000);
serveSessions(at("sessions"));
