// zapo-js, unmodified, as a companion of a virtual phone. It verifies the server's certificate chain against the
// sandbox's root and the phone's signatures on the link, and resumes with IK; with another root it must refuse.
import { Companion, newStore } from './companions/zapo.mjs'
import { check, ok, story } from './product.mjs'

const LIMIT = 180_000

await story('zapo', LIMIT, async start => {
    const product = await start()
    const { root_key: hex } = await product.control('GET', '/state')
    const root = Uint8Array.from(Buffer.from(hex, 'hex'))
    check(root.length === 32, 'the sandbox tells its root key')
    await refused(product, root)
    const account = await product.link()
    ok(`the demo account is linked as ${account}`)
    const store = newStore()
    const friend = await product.phone('Ida')
    await paired(product, store, root, friend)
    await resumed(product, store, root, friend)
    await first(product, root, account)
})

/** Another root: the chain is not accepted, and nothing is said to the server. */
async function refused(product, root) {
    const other = Uint8Array.from(root, (byte, at) => (at === 0 ? byte ^ 1 : byte))
    const wary = new Companion(product, newStore(), other)
    const outcome = await wary.connect().then(() => 'connected', error => error.message)
    check(outcome !== 'connected', 'zapo-js refuses the chain under another root', outcome)
    check(wary.journal.says('certificate signature is invalid'), 'because of the signature', wary.journal.lines.slice(-5))
    check(!wary.codes.count(() => true), 'and shows no QR code')
    await wary.leave()
}

/** Pairing with the chain verified, a text there, an answer back, receipts. */
async function paired(product, store, root, friend) {
    const ida = new Companion(product, store, root)
    await ida.connect()
    check(ida.journal.says('noise certificate chain verified'), 'zapo-js verified our certificate chain against our root')
    await product.scan(await ida.code(), friend)
    await ida.loggedIn()
    await product.published(friend)
    ok('zapo-js is linked as a companion by a scanned QR code')
    await product.control('POST', product.phonePath(friend, '/offline'))

    const sent = await product.sendText(friend, 'Hello Ida, this is the API')
    const seen = await ida.sees('Hello Ida, this is the API')
    ok('zapo-js decrypted what the API sent')
    await product.reaches(sent.id, 'delivered')
    ok("zapo-js' delivery receipt made the status delivered")
    await ida.read(seen)
    await product.reaches(sent.id, 'read')
    ok("zapo-js' read receipt made the status read")

    await ida.say(seen.event.chatJid, 'Hello API, this is Ida')
    const answer = await product.receives('Hello API, this is Ida')
    check(answer.sender?.phone === friend, 'the answer is in the list and the event log, with the sender as a phone number', answer.sender)
    await ida.leave()
}

/** A second client over the same store: IK, no certificate read, the backlog delivered. */
async function resumed(product, store, root, friend) {
    const missed = await product.sendText(friend, 'while you were away')
    await product.reaches(missed.id, 'sent')
    ok('a text to an offline recipient is sent, not delivered')
    const ida = new Companion(product, store, root)
    await ida.connect()
    await ida.loggedIn()
    check(ida.journal.says('resume handshake successful without fallback'), 'zapo-js resumed by IK, without a QR code')
    await ida.sees('while you were away')
    await product.reaches(missed.id, 'delivered')
    ok('the missed text was delivered when it was back')
    const again = await product.sendText(friend, 'and live again')
    await ida.sees('and live again')
    await product.reaches(again.id, 'delivered')
    check(ida.texts.count(seen => seen.text === 'while you were away') === 1, 'nothing was shown twice')
    await ida.leave()
}

/** A new contact that writes first. */
async function first(product, root, account) {
    const stranger = await product.phone('Jon')
    const jon = new Companion(product, newStore(), root)
    await jon.connect()
    await product.scan(await jon.code(), stranger)
    await jon.loggedIn()
    await product.published(stranger)
    const { id } = await jon.say(`${account.slice(1)}@s.whatsapp.net`, 'Hello, do you sell bread?')
    const received = await product.receives('Hello, do you sell bread?')
    check(received.sender?.phone === stranger, 'a first message of a new contact is in the list and the event log', received.sender)
    await jon.receipts.first('a delivery receipt at zapo-js', receipt => receipt.stanzaId === id && receipt.stanzaType === undefined)
    ok('zapo-js got a delivery receipt for it')
    const answer = await product.sendText(stranger, 'Yes, every morning')
    await jon.sees('Yes, every morning')
    await product.reaches(answer.id, 'delivered')
    ok('the API answered and zapo-js decrypted it')
    await jon.leave()
}
