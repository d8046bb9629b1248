// From nothing to a delivered message: link with a virtual phone, write, be read, be answered; files; what is refused.
import { check, until } from '../product.mjs'
import { XSS, says } from './browser.mjs'

/** Links an account: the session's page in one tab, the phones in another. Answers both pages and the session's address. */
export async function link(watched, context, api, phone) {
    const session = await context.newPage()
    await session.goto(`${api}/admin/sessions/`)
    await session.getByText('No WhatsApp account is linked yet').waitFor()
    await watched.look(session, 'sessions-empty')
    await session.getByRole('link', { name: 'Link a phone' }).first().click()
    await session.getByLabel('Name').fill('not a name')
    await session.getByLabel('Phone number').fill('12')
    await session.getByRole('button', { name: 'Show the code' }).click()
    await session.getByText(/must have 1 to 64/).waitFor()
    check(await session.getByLabel('Name').getAttribute('aria-invalid') === 'true', 'a refused field is marked')
    check(await session.getByLabel('Name').inputValue() === 'not a name', 'what was entered is kept')
    await watched.look(session, 'session-new-refused')
    await session.getByLabel('Name').fill('shop')
    await session.getByLabel('Phone number').fill('')
    await session.getByRole('button', { name: 'Show the code' }).click()
    await session.locator('.qr svg').waitFor()
    check(/in \d+ s/.test(await session.locator('.countdown').textContent()), 'the code counts down')
    await watched.look(session, 'session-qr')
    const phones = await context.newPage()
    await phones.goto(`${api}/admin/phones/`)
    const card = phones.locator(`#phone-${phone.replace('+', '')}`)
    await card.getByRole('button', { name: /Scan the code of shop/ }).click()
    await says(phones, 'Linked as')
    await session.getByText('connected', { exact: true }).waitFor()
    check(await session.locator('.qr').count() === 0, 'the code goes away by itself once it was scanned')
    await watched.look(session, 'session-connected')
    const home = session.url()
    await session.getByRole('link', { name: 'Groups', exact: true }).click()
    await session.getByText('The account is in no group').waitFor()
    await watched.look(session, 'session-groups-empty')
    await session.goto(home)
    await session.getByText('connected', { exact: true }).waitFor()
    return { session, phones, card }
}

/** Writes to a friend and sees it delivered, read and answered. */
export async function write(watched, context, api, phones, friend) {
    const page = await context.newPage()
    await page.goto(`${api}/admin/messages/`)
    await page.getByText('No messages yet').waitFor()
    await watched.look(page, 'messages-empty')
    await page.getByRole('link', { name: 'Send a message' }).first().click()
    const text = page.locator('form[action*="/send-text/?once="]')
    await text.getByLabel('To', { exact: true }).fill('nobody')
    await text.getByLabel('Text').fill('hello')
    await text.getByRole('button', { name: 'Send the text' }).click()
    await page.locator('#recipient-error').waitFor()
    check(await text.getByLabel('Text').inputValue() === 'hello', 'the text is kept when the recipient is refused')
    await watched.look(page, 'message-new-refused')
    await text.getByLabel('To', { exact: true }).fill(friend)
    await text.getByLabel('Text').fill(`Your order is ready. ${XSS}`)
    await text.getByRole('button', { name: 'Send the text' }).click()
    await page.locator('#message-live .badge', { hasText: 'delivered' }).waitFor()
    check(true, 'the message is delivered, and the page says so by itself')
    await watched.look(page, 'message-delivered')
    const card = phones.locator(`#phone-${friend.replace('+', '')}`)
    await card.locator('.bubble', { hasText: 'Your order is ready.' }).waitFor()
    await card.getByRole('button', { name: /Read the chat/ }).click()
    await page.locator('#message-live .badge', { hasText: 'read' }).waitFor()
    check(true, 'a message that is read on the phone is read here')
    await card.getByLabel('Message', { exact: true }).fill(`Thank you! ${XSS}`)
    await card.getByLabel('Message', { exact: true }).press('Enter')
    await card.locator('.bubble.mine', { hasText: 'Thank you!' }).waitFor()
    await watched.look(phones, 'phones')
    await page.goto(`${api}/admin/messages/?direction=inbound`)
    await until('the answer to be listed', async () => {
        await page.reload()
        return await page.getByText('Thank you!').count() > 0
    })
    await watched.look(page, 'messages')
    await page.getByRole('row', { name: /Thank you!/ }).getByRole('link').first().click()
    await page.getByRole('button', { name: 'Mark as read' }).click()
    await says(page, 'Marked as read.')
    await watched.look(page, 'message-received')
    return page
}

/** Reads a conversation and answers on its page. */
export async function converse(watched, page, api, phones, friend) {
    await page.goto(`${api}/admin/chats/?waiting=yes`)
    await watched.look(page, 'chats-waiting')
    await page.getByRole('row', { name: /Thank you!/ }).getByRole('link').first().click()
    await page.locator('.bubble', { hasText: 'Thank you!' }).waitFor()
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await page.locator('#content-error').waitFor()
    await watched.look(page, 'chat-refused')
    await page.getByLabel('Text').fill('You are welcome.')
    await page.getByRole('button', { name: 'Send', exact: true }).click()
    await says(page, 'Accepted; it is on its way.')
    await page.locator('#chat-live .bubble.mine', { hasText: 'You are welcome.' }).locator('.badge', { hasText: 'delivered' }).waitFor()
    check(true, 'an answer written in the chat is delivered, and the page says so by itself')
    await phones.locator(`#phone-${friend.replace('+', '')}`).locator('.bubble', { hasText: 'You are welcome.' }).waitFor()
    await watched.look(page, 'chat')
}

/** Answers one message on the phone by the link that works without scripts, too. */
export async function answer(phones, friend) {
    const card = phones.locator(`#phone-${friend.replace('+', '')}`)
    await card.getByRole('link', { name: 'Answer' }).first().click()
    await card.locator('.answering').waitFor()
    await card.getByLabel('Message', { exact: true }).fill('This is the answer')
    await card.getByRole('button', { name: /^Send as/ }).click()
    await card.locator('.bubble.mine', { hasText: 'This is the answer' }).locator('.quote').waitFor()
    check(true, 'an answer quotes what it answers')
}

/** Sends files, both ways. */
export async function files(watched, page, api, phones, friend) {
    const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
    await page.goto(`${api}/admin/messages/new/?to=${encodeURIComponent(friend)}`)
    const form = page.locator('form[action*="/messages/send-file/?once="]')
    await form.getByRole('button', { name: 'Send the file' }).click()
    await page.locator('#file-error').waitFor()
    check(await form.getByLabel('To').inputValue() === friend, 'the recipient is kept when the file is missing')
    await form.getByLabel('File').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') })
    await form.getByLabel('Send it as').selectOption('image')
    await form.getByRole('button', { name: 'Send the file' }).click()
    await says(page, 'The file was not sent.', 'bad')
    await watched.look(page, 'message-new-file-refused')
    await form.getByLabel('Send it as').selectOption('document')
    await form.getByLabel('File').setInputFiles({ name: '<img src=x onerror=window.pwned=1>.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4\n%%EOF\n') })
    await form.getByLabel('Caption').fill(`The invoice ${XSS}`)
    await form.getByRole('button', { name: 'Send the file' }).click()
    await page.locator('#message-live .badge', { hasText: 'delivered' }).waitFor()
    await watched.look(page, 'message-file')
    const card = phones.locator(`#phone-${friend.replace('+', '')}`)
    await card.locator('.bubble', { hasText: 'The invoice' }).waitFor()
    await card.locator('summary', { hasText: /^File$/ }).click()
    const send = card.locator('form[action$="send-file/"]')
    await send.getByLabel('File').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: picture })
    await send.getByLabel('Caption').fill('a photo')
    await send.getByRole('button', { name: /Send the file/ }).click()
    await card.locator('.bubble.mine', { hasText: 'a photo' }).waitFor()
    await page.goto(`${api}/admin/messages/?type=image`)
    await until('the picture to be listed', async () => {
        await page.reload()
        return await page.getByText('a photo').count() > 0
    })
    await page.getByRole('row', { name: /a photo/ }).getByRole('link').first().click()
    const saved = page.waitForEvent('download')
    await page.getByRole('link', { name: 'Save the file' }).click()
    const chunks = []
    for await (const chunk of await (await saved).createReadStream()) chunks.push(chunk)
    check(Buffer.concat(chunks).equals(picture), 'the saved file is what the phone sent')
}

/** Blocks the account on the phone and lets it through again. */
export async function block(watched, page, api, phones, friend) {
    const card = phones.locator(`#phone-${friend.replace('+', '')}`)
    const send = async (text, status) => {
        await page.goto(`${api}/admin/messages/new/?to=${encodeURIComponent(friend)}`)
        const form = page.locator('form[action*="/send-text/?once="]')
        await form.getByLabel('Text').fill(text)
        await form.getByRole('button', { name: 'Send the text' }).click()
        await page.locator('#message-live .badge', { hasText: status }).waitFor()
    }
    await card.getByRole('button', { name: /^Block / }).click()
    await says(phones, 'Blocked')
    await card.getByRole('button', { name: /^Unblock / }).waitFor()
    await send('nobody hears this', 'sent')
    await card.getByLabel('Message', { exact: true }).fill('may not be written')
    await card.getByLabel('Message', { exact: true }).press('Enter')
    await says(phones, 'This phone has blocked', 'bad')
    await watched.look(phones, 'phones-blocked')
    await card.getByLabel('Message', { exact: true }).fill('')
    await card.getByRole('button', { name: /^Unblock / }).click()
    await says(phones, 'Let through again')
    await send('heard again', 'delivered')
    await card.locator('.bubble', { hasText: 'heard again' }).waitFor()
    check(await card.locator('.bubble', { hasText: 'nobody hears this' }).count() === 0, 'what came from somebody who was blocked never shows')
}
