// Leaves at once, and without a way back: by the button, or by pressing Escape three times.
const leave = document.querySelector("a.leave");
let pressed = [];

function go() {
  // What was typed must not flash up while the other page loads.
  document.body.hidden = true;
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
