// Baileys, unmodified, as a companion of a virtual phone: it decrypts what the API sends, answers, and its receipts
// move the status. The phone itself is offline, so that nobody but Baileys can have received the message.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Companion } from './companions/baileys.mjs'
import { check, ok, story } from './product.mjs'

const LIMIT = 180_000

await story('baileys', LIMIT, async start => {
    const product = await start()
    const account = await product.link()
    ok(`the demo account is linked as ${account}`)
    const folder = mkdtempSync(join(tmpdir(), 'sanasend-baileys-'))
    try {
        await paired(product, account, folder)
        await resumed(product, account, folder)
        await first(product, account)
    } finally {
        rmSync(folder, { recursive: true, force: true })
    }
})

/** Pairing over TLS, a text there, an answer back, receipts. */
async function paired(product, account, folder) {
    const friend = await product.phone('Bea')
    product.friend = friend
    const bea = await new Companion(product, folder, { tls: true }).link(friend)
    ok('Baileys is linked as a companion over TLS by a scanned QR code')
    await product.control('POST', product.phonePath(friend, '/offline'))

    const sent = await product.sendText(friend, 'Hello Bea, this is the API')
    const seen = await bea.sees('Hello Bea, this is the API')
    ok('Baileys decrypted what the API sent')
    await product.reaches(sent.id, 'delivered')
    ok("Baileys' delivery receipt made the status delivered")
    await bea.socket.readMessages([seen.key])
    await product.reaches(sent.id, 'read')
    ok("Baileys' read receipt made the status read")

    await bea.say(seen.key.remoteJid, 'Hello API, this is Bea')
    const answer = await product.receives('Hello API, this is Bea')
    check(answer.sender?.phone === friend, 'the answer is in the list and the event log, with the sender as a phone number', answer.sender)
    await bea.leave()
}

/** A second start from the saved credentials; what came meanwhile is delivered. */
async function resumed(product, account, folder) {
    const missed = await product.sendText(product.friend, 'while you were away')
    await product.reaches(missed.id, 'sent')
    ok('a text to an offline recipient is sent, not delivered')
    const bea = new Companion(product, folder, { tls: false })
    await bea.connect()
    await bea.open.promise
    ok('Baileys came back from its saved credentials without a QR code')
    await bea.sees('while you were away')
    await product.reaches(missed.id, 'delivered')
    ok('the missed text was delivered when it was back')
    const again = await product.sendText(product.friend, 'and live again')
    await bea.sees('and live again')
    await product.reaches(again.id, 'delivered')
    check(bea.texts.count(seen => seen.text === 'while you were away') === 1, 'nothing was shown twice')
    await blocks(product, bea)
    await bea.leave()
}

/** It blocks the account and lets it through again: one tick, and nothing afterwards. */
async function blocks(product, bea) {
    const { key } = await bea.sees('and live again')
    await bea.socket.updateBlockStatus(key.remoteJid, 'block')
    check((await bea.socket.fetchBlocklist()).length === 1, 'Baileys has the account on its list of blocked people')
    const lost = await product.sendText(product.friend, 'nobody hears this')
    await product.reaches(lost.id, 'sent')
    await bea.socket.updateBlockStatus(key.remoteJid, 'unblock')
    check((await bea.socket.fetchBlocklist()).length === 0, 'and takes it off again')
    const heard = await product.sendText(product.friend, 'heard again')
    await bea.sees('heard again')
    await product.reaches(heard.id, 'delivered')
    check(bea.texts.count(seen => seen.text === 'nobody hears this') === 0, 'what was sent to somebody who blocked the account never comes')
    check((await product.message(lost.id)).status === 'sent', 'and stays at one tick')
}

/** A new contact that writes first. */
async function first(product, account) {
    const folder = mkdtempSync(join(tmpdir(), 'sanasend-baileys-'))
    const stranger = await product.phone('Carl')
    const carl = await new Companion(product, folder, { tls: false }).link(stranger)
    const message = await carl.say(`${account.slice(1)}@s.whatsapp.net`, 'Hello, do you sell bread?')
    const received = await product.receives('Hello, do you sell bread?')
    check(received.sender?.phone === stranger, 'a first message of a new contact is in the list and the event log', received.sender)
    await carl.receipts.first('a delivery receipt at Baileys', update => update.key.id === message.key.id && update.update.status >= 3)
    ok('Baileys got a delivery receipt for it')
    const answer = await product.sendText(stranger, 'Yes, every morning')
    await carl.sees('Yes, every morning')
    await product.reaches(answer.id, 'delivered')
    ok('the API answered and Baileys decrypted it')
    await carl.leave()
    rmSync(folder, { recursive: true, force: true })
}
