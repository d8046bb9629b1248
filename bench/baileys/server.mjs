// What most self-hosted WhatsApp APIs are made of: Baileys behind Express. Links accounts in the sandbox, then sends what
// it is asked to. It keeps nothing: an answer means that the text was written to the socket.
//
//   node server.mjs WS_URL ADMIN_URL ACCOUNTS FOLDER
//
// Says one line of JSON when it is ready: {port, base_kib, per_account_kib, friend, start_ms}.
import express from 'express'
import { DisconnectReason, makeWASocket, useMultiFileAuthState } from 'baileys'
import pino from 'pino'
import { join } from 'node:path'

console.info = () => {}
console.warn = () => {}
const [ws, admin, count, folder] = process.argv.slice(2)
const resident = () => Math.round(process.memoryUsage().rss / 1024)
const post = async (path, body, type = 'application/json') => {
    const answer = await fetch(admin + path, { method: 'POST', headers: { 'content-type': type }, body })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json().catch(() => ({}))
}
const phone = async () => (await post('/admin/phones', '{}')).phone

/** Links one account and answers its socket once it is open. */
async function link(number, place) {
    const { state, saveCreds } = await useMultiFileAuthState(place)
    return new Promise((resolve, reject) => {
        const dial = () => {
            const socket = makeWASocket({
                auth: state,
                waWebSocketUrl: ws,
                browser: ['Bench', 'Chrome', '1.0'],
                logger: pino({ level: 'silent' }),
                getMessage: async () => undefined
            })
            socket.ev.on('creds.update', saveCreds)
            socket.ev.on('connection.update', ({ qr, connection, lastDisconnect }) => {
                if (qr) post(`/admin/mock-phone/scan-qr?phone=${encodeURIComponent(number)}`, qr, 'text/plain').catch(reject)
                if (connection === 'open') resolve(socket)
                const code = lastDisconnect?.error?.output?.statusCode
                if (connection === 'close' && code === DisconnectReason.restartRequired) dial()
            })
        }
        dial()
    })
}

const base = resident()
const sockets = []
for (let n = 0; n < Number(count); n++) sockets.push(await link(await phone(), join(folder, `account-${n}`)))
const friend = (await phone()).slice(1)
await new Promise(done => setTimeout(done, 2000))
const linked = resident()

const app = express()
app.use(express.json())
let turn = 0
app.post('/send', async (request, response) => {
    const socket = sockets[turn++ % sockets.length]
    const message = await socket.sendMessage(`${request.body.to}@s.whatsapp.net`, { text: request.body.text })
    response.status(202).json({ success: true, id: message.key.id })
})
const server = app.listen(0, '127.0.0.1', () => {
    const ready = {
        port: server.address().port,
        base_kib: base,
        per_account_kib: (linked - base) / Math.max(1, Number(count)),
        friend,
        start_ms: Math.round(performance.now())
    }
    process.stdout.write(JSON.stringify(ready) + '\n')
})
process.on('SIGTERM', () => process.exit(0))
