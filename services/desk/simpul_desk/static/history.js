// A browser writes the body of a form that a page answers to its disk, to restore the page after a crash. As an
// ordinary entry of the history the page has no body, and loading it again sends nothing twice.
history.replaceState(null, "", location.href);
