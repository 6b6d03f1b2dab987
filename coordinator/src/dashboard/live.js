"use strict";
// Asks every second what has changed. If nobody answers it goes on asking: the coordinator may come back.
const live = document.getElementById("live");
const lost = document.getElementById("lost");
const report = document.getElementById("report");
const title = document.title;
let heard = new Date();

// What a reader has opened stays open in the new report.
const opened = () => new Set([...report.querySelectorAll("details[open]")].map(key));
const key = (details) => (details.closest("figure, section") || report).id + "|" + details.querySelector("summary").textContent.slice(0, 40);

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  // Another coordinator may ask for a token: the page that does is at this address.
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  return answer;
}

async function update() {
  try {
    const answer = await ask("live");
    const version = answer.headers.get("x-report-version") || "";
    live.innerHTML = await answer.text();
    heard = new Date();
    lost.hidden = true;
    const percent = live.querySelector(".percent");
    document.title = (percent ? percent.textContent + " · " : "") + title;
    // A coordinator that was restarted has no report at first: the last one stays until it has.
    if (version !== "" && version !== report.dataset.version) {
      const body = await (await ask("report")).text();
      // Not before the answer is here: what is opened meanwhile counts, too.
      const open = opened();
      report.innerHTML = body;
      report.dataset.version = version;
      report.querySelectorAll("details").forEach((details) => { details.open = open.has(key(details)); });
    }
  } catch (error) {
    lost.textContent = "The coordinator does not answer: it has ended, or is being restarted. This page is as of " +
      heard.toLocaleTimeString() + ", and goes on when there is an answer. When the sweep is done, report.html lies beside its tables.";
    lost.hidden = false;
  }
  setTimeout(update, 1000);
}

update();
