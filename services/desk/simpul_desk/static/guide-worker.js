// Keeps the guide for when the line is down. KEPT, the pages and files to keep, is written before this line.
const STORE = "guide";

async function keep() {
  const store = await caches.open(STORE);
  await store.addAll(KEPT.map((address) => new Request(address, { cache: "no-cache" })));
  const kept = new Set(KEPT);
  for (const request of await store.keys()) {
    const address = new URL(request.url);
    if (!kept.has(address.pathname + address.search)) await store.delete(request);
  }
}

async function answer(request) {
  try {
    return await fetch(request);
  } catch {
    const store = await caches.open(STORE);
    const wanted = new URL(request.url);
    const page = "/guide/offline?lang=" + (wanted.searchParams.get("lang") === "en" ? "en" : "id");
    return (await store.match(request.mode === "navigate" ? page : request)) || Response.error();
  }
}

self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
