// More than texts with a client that others wrote: the API reacts, edits, deletes, and sends a place, a card and a poll that
// Baileys reads; Baileys does the same, and the API tells it.
import { withBaileys } from './companions/baileys.mjs'
import { check, ok, Seen, story, until } from './product.mjs'
import { trust } from './trust.mjs'

const LIMIT = 180_000
const jid = phone => `${phone.slice(1)}@s.whatsapp.net`

await story('rich', LIMIT, async start => {
    const product = await start()
    trust(product.ready.sandbox.ca_file)
    const shop = await product.link()
    await withBaileys(product, async (bea, friend) => {
        const reactions = new Seen()
        bea.socket.ev.on('messages.reaction', list => list.forEach(entry => reactions.add(entry)))
        await apiSends(product, bea, friend, reactions)
        await baileysSends(product, bea, shop)
    })
})

/** The message inside of Baileys, by WhatsApp's id. */
function gets(bea, what, id, field) {
    return bea.messages.first(`Baileys to get ${what}`, entry => entry.key.id === id && entry.message?.[field])
}

async function apiSends(product, bea, friend, reactions) {
    const place = await product.api('POST', '/messages/send-location/', { recipient: friend, latitude: 52.5, longitude: 13.25, name: 'Gate' })
    const { locationMessage } = (await gets(bea, 'a location', place.wa_message_id, 'locationMessage')).message
    check(locationMessage.degreesLatitude === 52.5 && locationMessage.degreesLongitude === 13.25 && locationMessage.name === 'Gate',
        'Baileys reads a location of the API', locationMessage)

    const card = await product.api('POST', '/messages/send-contact/', { recipient: friend, contacts: [{ name: 'Anna', phone: '+12025550124' }] })
    const { contactMessage } = (await gets(bea, 'a card', card.wa_message_id, 'contactMessage')).message
    check(contactMessage.displayName === 'Anna' && contactMessage.vcard.includes('waid=12025550124'), 'Baileys reads a contact card of the API', contactMessage)

    const asked = await product.api('POST', '/messages/send-poll/', { recipient: friend, question: 'When?', options: ['Today', 'Tomorrow'] })
    const poll = await bea.messages.first('Baileys to get a poll', entry => entry.key.id === asked.wa_message_id && entry.message)
    const creation = poll.message.pollCreationMessageV3 ?? poll.message.pollCreationMessage
    check(creation?.options?.map(option => option.optionName).join() === 'Today,Tomorrow' && poll.message.messageContextInfo?.messageSecret?.length === 32,
        'Baileys reads a poll of the API, with what votes are sealed with', poll.message)

    const text = await product.api('POST', '/messages/send-text/?wait=20', { recipient: friend, content: 'teh bread' })
    await bea.sees('teh bread')
    const edit = await product.api('POST', `/messages/${text.id}/edit/?wait=20`, { content: 'the bread' })
    check(edit.status !== 'failed', 'an edit is sent', edit)
    const edited = await bea.receipts.first('Baileys to see the edit', update =>
        update.key.id === text.wa_message_id && update.update?.message?.editedMessage)
    const words = edited.update.message.editedMessage.message
    check((words.conversation ?? words.extendedTextMessage?.text) === 'the bread', 'Baileys reads an edit of the API', words)

    await product.api('POST', `/messages/${text.id}/react/?wait=20`, { emoji: '👍' })
    const reacted = await reactions.first('Baileys to see the reaction', entry => entry.key.id === text.wa_message_id)
    check(reacted.reaction.text === '👍', 'Baileys reads a reaction of the API', reacted)

    await product.api('POST', `/messages/${text.id}/delete/?wait=20`, {})
    await bea.receipts.first('Baileys to see the deletion', update => update.key.id === text.wa_message_id && update.update?.message === null)
    ok('Baileys sees a deletion of the API')
}

/** The first incoming message of a type. */
function comes(product, type, fits = () => true) {
    return until(`an incoming ${type}`, async () => {
        const { results } = await product.api('GET', `/messages/list/?direction=inbound&type=${type}`)
        return results.find(fits)
    })
}

async function baileysSends(product, bea, shop) {
    const to = jid(shop)
    await bea.socket.sendMessage(to, { location: { degreesLatitude: 1.5, degreesLongitude: 2.5, name: 'Here' } })
    const { location } = await comes(product, 'location')
    check(location.latitude === 1.5 && location.longitude === 2.5 && location.name === 'Here', 'the API reads a location of Baileys', location)

    const vcard = 'BEGIN:VCARD\nVERSION:3.0\nFN:Cleo\nTEL;type=CELL;waid=12025550125:+1 202 555 0125\nEND:VCARD'
    await bea.socket.sendMessage(to, { contacts: { displayName: 'Cleo', contacts: [{ displayName: 'Cleo', vcard }] } })
    const { contacts } = await comes(product, 'contact')
    check(contacts[0].name === 'Cleo' && contacts[0].phones[0] === '+12025550125', 'the API reads a contact card of Baileys', contacts)

    const sent = await bea.socket.sendMessage(to, { poll: { name: 'Tea?', values: ['yes', 'no'], selectableCount: 1 } })
    const { poll } = await comes(product, 'poll', message => message.wa_message_id === sent.key.id)
    check(poll.question === 'Tea?' && poll.options.map(option => option.name).join() === 'yes,no', 'the API reads a poll of Baileys', poll)

    const said = await bea.say(to, 'Thnaks')
    const thanks = await comes(product, 'text', message => message.wa_message_id === said.key.id)
    const now = fits => until('the message to change', async () => {
        const message = await product.api('GET', `/messages/${thanks.id}/`)
        return fits(message) && message
    })
    await bea.socket.sendMessage(to, { text: 'Thanks', edit: said.key })
    await now(message => message.content === 'Thanks' && message.edited_at)
    ok('the API reads an edit of Baileys')
    await bea.socket.sendMessage(to, { react: { text: '🙏', key: said.key } })
    await now(message => message.reactions?.[0]?.emoji === '🙏')
    ok('the API reads a reaction of Baileys')
    await bea.socket.sendMessage(to, { delete: said.key })
    await now(message => message.deleted_at)
    ok('the API reads a deletion of Baileys')
    const events = await product.events()
    for (const type of ['message.edited', 'message.reacted', 'message.deleted']) {
        check(events.some(event => event.type === type && event.message === thanks.id), `the event log tells ${type}`)
    }
}
