// The page Backups: an archive sent in pieces, going on after a break; printing a recovery kit.
(function () {
  "use strict";

  var print = document.querySelector("[data-print]");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", function () { window.print(); });
  }

  var form = document.querySelector("form[data-upload]");
  if (!form || !window.fetch || !Blob.prototype.slice || !Blob.prototype.arrayBuffer) return;

  var TRIES = 6;
  var told = form.querySelector("[data-upload-told]");
  var bar = form.querySelector("progress");
  var words = told.dataset;
  var table = crcTable();

  form.addEventListener("submit", function (event) {
    var file = form.elements.archive.files[0];
    if (!file) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    form.classList.add("sent");
    bar.hidden = false;
    send(file).catch(function (error) {
      form.classList.remove("sent");
      told.textContent = error.message || words.broken;
    });
  }, true);

  async function send(file) {
    var begun = await ask("POST", form.dataset.upload, JSON.stringify({ name: file.name, size: file.size }));
    var address = form.dataset.upload + "/" + begun.id;
    var at = begun.offset;
    while (at < file.size) {
      show(at, file.size);
      at = await sendPiece(address, file, at, begun.piece);
    }
    show(file.size, file.size);
    var done = await ask("POST", address + "/finish", "{}");
    window.location.assign(form.dataset.job.replace("0", done.job));
  }

  async function sendPiece(address, file, at, size) {
    for (var tries = 0; ; tries++) {
      try {
        var piece = await file.slice(at, at + size).arrayBuffer();
        var where = address + "?offset=" + at + "&crc32=" + crc(new Uint8Array(piece));
        return (await ask("PUT", where, piece)).offset;
      } catch (error) {
        if (error.offset !== undefined && error.offset !== at) return error.offset;
        if (error.final || tries >= TRIES) throw error;
        told.textContent = words.again;
        await new Promise(function (resolve) { setTimeout(resolve, 500 * Math.pow(2, tries)); });
      }
    }
  }

  async function ask(method, address, body) {
    var type = typeof body === "string" ? "application/json" : "application/octet-stream";
    var answer = await fetch(address, {
      method: method,
      body: body,
      credentials: "same-origin",
      headers: { "Content-Type": type, "X-CSRFToken": form.elements.csrf_token.value }
    });
    var said = await answer.json().catch(function () { return {}; });
    if (answer.ok) return said;
    var error = new Error(said.error || words.broken);
    error.offset = answer.status === 409 ? said.offset : undefined;
    error.final = answer.status < 500 && answer.status !== 409;
    throw error;
  }

  function show(done, size) {
    bar.max = size;
    bar.value = done;
    told.textContent = words.sent.replace("{percent}", Math.floor((100 * done) / size));
  }

  function crcTable() {
    var made = new Uint32Array(256);
    for (var n = 0; n < 256; n++) {
      var value = n;
      for (var bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
      made[n] = value;
    }
    return made;
  }

  function crc(bytes) {
    var value = 0xffffffff;
    for (var n = 0; n < bytes.length; n++) value = table[(value ^ bytes[n]) & 0xff] ^ (value >>> 8);
    return (value ^ 0xffffffff) >>> 0;
  }
})();
