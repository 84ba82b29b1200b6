// The form that waits for the line, or that a person wants to continue: one, encrypted, for a day at most.
// The key cannot be exported and goes with the draft; leave.js deletes the database too.
const DRAFTS = "draft";
const KEPT_FOR = 24 * 60 * 60 * 1000;

function inDrafts(mode, act) {
  return new Promise((done, fail) => {
    const opening = indexedDB.open(DRAFTS, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(DRAFTS);
    opening.onerror = () => fail(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(DRAFTS, mode);
      const request = act(transaction.objectStore(DRAFTS));
      // An open connection would hold up the deletion of the database.
      transaction.oncomplete = () => {
        opening.result.close();
        done(request.result);
      };
      transaction.onabort = () => {
        opening.result.close();
        fail(transaction.error);
      };
    };
  });
}

// Keeps the fields of a form, as pairs of name and value; `waits` says that the person has sent it.
async function keepDraft(fields, waits) {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(fields.filter(([name]) => name !== "not_kept")));
  const content = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, text);
  // Whoever left while this was encrypted leaves nothing behind.
  if (self.document?.body.hidden) return;
  await inDrafts("readwrite", (store) => store.put({ key, iv, content, waits, at: Date.now() }, 1));
}

// Returns the fields and whether they wait for the line; nothing without a draft, or for one that is too old.
async function readDraft() {
  // Opening it would create it, and a phone on which nothing is kept shows nothing.
  if (indexedDB.databases && !(await indexedDB.databases()).some(({ name }) => name === DRAFTS)) return null;
  const kept = await inDrafts("readonly", (store) => store.get(1));
  if (!kept) return null;
  if (Date.now() - kept.at > KEPT_FOR) {
    await eraseDraft();
    return null;
  }
  const text = await crypto.subtle.decrypt({ name: "AES-GCM", iv: kept.iv }, kept.key, kept.content);
  return { fields: JSON.parse(new TextDecoder().decode(text)), waits: kept.waits };
}

function eraseDraft() {
  return new Promise((done) => {
    const erasing = indexedDB.deleteDatabase(DRAFTS);
    erasing.onsuccess = erasing.onerror = done;
  });
}
