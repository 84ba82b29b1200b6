// Leaves at once, and without a way back: by the button, or by pressing Escape three times.
const leave = document.querySelector("a.leave");
let pressed = [];

// A form that was kept for later goes with the person; draft-store.js says what it is.
function eraseKept() {
  return new Promise((done) => {
    if (!window.indexedDB) return done();
    const erasing = indexedDB.deleteDatabase("draft");
    erasing.onsuccess = erasing.onerror = done;
    setTimeout(done, 400);
  });
}

async function go() {
  // What was typed must not flash up while the other page loads.
  document.body.hidden = true;
  await eraseKept();
  location.replace(leave.href);
}

leave.addEventListener("click", (event) => {
  event.preventDefault();
  go();
});
document.addEventListener("keydown", (event) => {
  pressed = event.key === "Escape" ? [...pressed.filter((at) => event.timeStamp - at < 2000), event.timeStamp] : [];
  if (pressed.length >= 3) go();
});
