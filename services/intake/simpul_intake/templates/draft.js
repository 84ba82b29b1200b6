// Shows the form that waits for the line, sends it when the line returns, and erases it once it is stored by the city.
const report = document.querySelector("#report");
const RETRY = 10_000;

function fieldsOf(element) {
  return [...new FormData(element)].filter(([, value]) => typeof value === "string");
}

function fill(fields) {
  for (const element of report.elements) {
    const given = fields.filter(([name]) => name === element.name).map(([, value]) => value);
    if (element.type === "checkbox") element.checked = given.includes(element.value);
    else if (given.length && element.name !== "lang") element.value = given[0];
  }
  for (const details of report.querySelectorAll("details")) details.open = true;
  report.classList.add("whole");
}

// Sends what is kept, under its own number: however often it arrives, it is one report.
function send(fields) {
  const waiting = document.createElement("form");
  waiting.method = "post";
  waiting.action = "/lapor";
  // A browser keeps what a form holds and sent, to restore it after a crash, unless it says no and had a password.
  waiting.autocomplete = "off";
  for (const [name, value] of fields) {
    const field = document.createElement("textarea");
    field.name = name;
    field.value = value;
    waiting.append(field);
  }
  const password = document.createElement("input");
  password.type = "password";
  password.name = "not_kept";
  password.value = "-";
  password.autocomplete = "off";
  waiting.append(password);
  waiting.hidden = true;
  document.body.append(waiting);
  waiting.submit();
}

async function sendWhenLineReturns() {
  let isTrying = false;
  async function attempt() {
    if (isTrying) return;
    isTrying = true;
    try {
      const answer = await fetch("/lapor/line", { cache: "no-store" });
      const draft = answer.ok ? await readDraft() : null;
      if (draft?.waits) send(draft.fields);
    } catch {
      // Still down.
    } finally {
      isTrying = false;
    }
  }
  window.addEventListener("online", attempt);
  setInterval(attempt, RETRY);
  await attempt();
}

async function showKept() {
  const kept = document.querySelector("#kept");
  const keeps = document.querySelector("#keep-draft");
  // What the worker showed again may be days old.
  const now = new Date();
  const day = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0"));
  report.elements.happened_on.max = day.join("-");
  document.querySelector("#keep").hidden = false;
  let draft = await readDraft();
  if (report.classList.contains("whole")) {
    // The city has read it and says what is wrong; the person sends it again.
    if (draft) await keepDraft(fieldsOf(report), false);
    draft = null;
    keeps.checked = Boolean(await readDraft());
  }
  let isShown = false;
  const whole = document.querySelector("#whole");
  function show() {
    isShown = true;
    whole.hidden = false;
    keeps.checked = !draft.waits;
    fill(draft.fields);
    document.querySelector("#show-kept").hidden = true;
  }
  if (draft) {
    kept.hidden = false;
    kept.classList.toggle("waits", draft.waits);
    // One form is kept: what is typed into another would take the place of a report that is to arrive.
    whole.hidden = draft.waits;
    // Only who has just sent it sees it without a further step.
    if (location.hash === "#kept") show();
    if (draft.waits) sendWhenLineReturns();
  }
  document.querySelector("#show-kept").addEventListener("click", show);
  let typing = 0;
  document.querySelector("#delete-kept").addEventListener("click", async () => {
    clearTimeout(typing);
    await eraseDraft();
    location.replace(location.pathname + location.search);
  });
  function keepTyped() {
    clearTimeout(typing);
    const waits = Boolean(isShown && draft.waits);
    if (keeps.checked || waits) typing = setTimeout(() => keepDraft(fieldsOf(report), waits), 300);
  }
  report.addEventListener("input", keepTyped);
  keeps.addEventListener("change", () => {
    if (keeps.checked || (isShown && draft.waits)) return;
    clearTimeout(typing);
    eraseDraft();
  });
}

if (window.isSecureContext && "indexedDB" in window && "serviceWorker" in navigator) {
  navigator.serviceWorker.register("/form-worker.js", { scope: "/lapor" });
  if (report) showKept();
  else eraseDraft();
}
