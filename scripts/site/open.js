// Opens the navigation's headings of pages, where the reader has not closed them.
for (const heading of ['Start', 'Concepts', 'Guides: networks', 'Guides: black boxes', 'Guides: runs']) {
  const key = `tsd-accordion-${heading}`;
  if (globalThis.localStorage.getItem(key) === null) globalThis.localStorage.setItem(key, 'true');
}
