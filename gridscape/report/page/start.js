// Results that take much room are packed: gzip, as base64.

/** @param {string} text */
async function unpacked(text) {
  const letters = atob(text),
    bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

{
  const node = document.getElementById("results"),
    text = node?.textContent ?? "";
  if (node?.dataset.packed !== "gzip") start(text);
  else if ("DecompressionStream" in window) unpacked(text).then(start);
  else {
    const words = "This browser cannot unpack the results: one of 2023 or later can.";
    document.body.prepend(Object.assign(document.createElement("p"), { textContent: words }));
  }
}
