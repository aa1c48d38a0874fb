// Sessions of npm's socket.io-client: node npm.js URL SESSIONS MILLISECONDS. It
// prints "warm" once each has had messages both ways, and what they saw once all
// have ended.
const { io } = require("socket.io-client");
const [url, sessions, pace] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const patience = setTimeout(() => { console.log("too late"); process.exit(1); }, 60000);
let warm = 0, goodbyes = 0, intact = 0, over = 0;
for (let i = 0; i < sessions; i++) {
  const socket = io(url, { transports: ["websocket"], reconnection: false, forceNew: true, rejectUnauthorized: false });
  let sent = 0, echoes = 0, good = true, isWarm = false;
  const pushes = [0, 0, 0, 0];
  const text = (n) => "e" + String(n).padStart(8, "0") + "x".repeat(n % 7 * 1000);
  const timer = setInterval(() => { if (socket.connected) socket.emit("m", text(sent++)); }, pace);
  socket.on("m", (message) => {
    if (message[0] === "p") {
      if (Number(message.slice(2, 10)) !== pushes[Number(message[1])]++) good = false;
    } else if (message !== text(echoes++)) good = false;
    if (!isWarm && echoes > 2 && Math.min(...pushes) > 2) {
      isWarm = true;
      if (++warm === sessions) console.log("warm");
    }
  });
  socket.on("connect_error", (err) => console.error(String(err)));
  socket.on("disconnect", (reason, details) => {
    clearInterval(timer);
    if (details?.context?.code === 1001) goodbyes++;
    if (good) intact++;
    if (++over === sessions) {
      clearTimeout(patience);
      console.log(JSON.stringify({ goodbyes, intact }));
    }
  });
}
