// Keeps the empty form for when the line is down, and what a person sends then, encrypted, until the line returns.
// VERSION is written before this line, so that a browser takes a new copy when a file has changed.
importScripts("/draft-store.js");
const STORE = "form";
const FORM = "/lapor";
const FILES = ["/style.css", "/leave.js", "/proof.js", "/draft-store.js", "/draft.js", "/lapor.webmanifest", "/lapor.svg"];
const PAGES = [`${FORM}?lang=id`, `${FORM}?lang=en`];

async function keepFiles() {
  const store = await caches.open(STORE);
  await store.addAll([...PAGES, ...FILES].map((address) => new Request(address, { cache: "no-cache" })));
}

async function showForm(language) {
  const page = await (await caches.open(STORE)).match(`${FORM}?lang=${language === "en" ? "en" : "id"}`);
  if (!page) return Response.error();
  // Each form is one report.
  const text = (await page.text()).replace(/(name="report_id" value=")[^"]*/, `$1${crypto.randomUUID()}`);
  return new Response(text, { headers: page.headers });
}

async function read(request, address) {
  try {
    return await fetch(request);
  } catch {
    if (address.pathname === FORM) return showForm(address.searchParams.get("lang"));
    return (await (await caches.open(STORE)).match(address.pathname)) || Response.error();
  }
}

async function send(request) {
  const copy = request.clone();
  try {
    return await fetch(request);
  } catch {
    const fields = [...(await copy.formData())].filter(([, value]) => typeof value === "string");
    const given = Object.fromEntries(fields);
    // Without the line another language is not shown either; what was typed is kept as a draft.
    await keepDraft(fields.filter(([name]) => name !== "switch_language"), !given.switch_language);
    return Response.redirect(`${FORM}?lang=${given.switch_language || given.lang || "id"}#kept`, 303);
  }
}

self.addEventListener("install", (event) => event.waitUntil(keepFiles().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (address.origin !== location.origin) return;
  if (event.request.method === "POST" && address.pathname === FORM) event.respondWith(send(event.request));
  else if (event.request.method === "GET" && [FORM, ...FILES].includes(address.pathname)) event.respondWith(read(event.request, address));
});
