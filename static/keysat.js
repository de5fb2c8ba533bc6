// What a page can do without: a copy button, a clock that ticks, a page that looks again. Every page works without it.
"use strict";

document.documentElement.classList.add("js");

// Copy a key. Outside of https and localhost browsers keep their clipboard closed, so the old way is there too.
async function copy(text, element) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  getSelection().selectAllChildren(element);
  if (!document.execCommand("copy")) throw new Error("the browser does not copy");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const element = document.getElementById(button.dataset.copy);
  const words = button.querySelector("[data-copy-words]");
  words.dataset.copyWords ||= words.textContent; // what stands there before the first press
  try {
    await copy(element.textContent.trim(), element);
    words.textContent = "Copied";
    say("The key is copied.");
  } catch {
    getSelection().selectAllChildren(element);
    words.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { words.textContent = words.dataset.copyWords; }, 2500);
});

// A form that is sent once: the button rests until the page is shown again, or long enough for whoever stopped it.
const RESTS_SECONDS = 20;
const ONCE = "[type=submit]:not([data-closed])";

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  const rest = (disabled) => { for (const button of event.target.querySelectorAll(ONCE)) button.disabled = disabled; };
  setTimeout(rest, 0, true);
  setTimeout(rest, 1000 * RESTS_SECONDS, false);
});

// Enter in a field that has a button of its own presses that one.
document.addEventListener("keydown", (event) => {
  const button = event.key === "Enter" && document.getElementById(event.target.dataset?.enter ?? "");
  if (!button) return;
  event.preventDefault();
  button.click();
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll(`[data-once] ${ONCE}`)) button.disabled = false;
});

// The time left. The server says how much it is, so a wrong clock here does no harm.
let endsAt = 0;
function wind() {
  const clock = document.querySelector("[data-countdown]");
  endsAt = clock ? performance.now() + 1000 * Number(clock.dataset.countdown) : 0;
}
function tick() {
  const clock = document.querySelector("[data-countdown]");
  if (!clock) return;
  const left = Math.max(0, Math.round((endsAt - performance.now()) / 1000));
  clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

// The page that waits: looked at every 3 s for 2 min, every 10 s to 10 min, every 30 s to 30 min.
const PACE = [[120, 3], [600, 10], [1800, 30]];
const LOOK_SECONDS = 20; // an answer that got lost on the way is waited for no longer
let waited = 0;
let timer = 0;

const main = () => document.getElementById("main");
const isMoving = () => "moving" in main().dataset;

function say(words) {
  const news = document.getElementById("news");
  if (news) news.textContent = words;
}

async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout?.(1000 * LOOK_SECONDS) });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the network is away: the next look tells more */ }
  plan();
}

function show(page) {
  const fresh = page.getElementById("main");
  if (fresh.dataset.state !== main().dataset.state) {
    document.title = page.title;
    main().replaceWith(document.adoptNode(fresh));
    say(fresh.querySelector("h1").textContent);
    waited = 0;
    wind();
    tick();
  } else {
    const [old, next] = [main(), fresh].map((part) => part.querySelector("[data-countdown]"));
    if (old && next) { old.dataset.countdown = next.dataset.countdown; wind(); }
  }
}

function plan() {
  clearTimeout(timer);
  if (!isMoving()) return;
  const pace = PACE.find(([until]) => waited < until);
  if (!pace) {
    document.querySelector("[data-looking]").hidden = true;
    document.querySelector("[data-stopped]").hidden = false;
    return;
  }
  waited += pace[1];
  timer = setTimeout(look, 1000 * pace[1]);
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && isMoving()) { clearTimeout(timer); look(); }
});

wind();
tick();
setInterval(tick, 1000);
plan();
