// Webhooks with their deliveries, the logs, jobs and settings, and leaving again.
import { createServer } from 'node:http'
import { check, until } from '../product.mjs'
import { says } from './browser.mjs'

/** A receiver on this machine that takes everything. */
async function receiver() {
    const seen = []
    const server = createServer((request, answer) => {
        let body = ''
        request.on('data', chunk => { body += chunk })
        request.on('end', () => { seen.push(JSON.parse(body)); answer.end('thanks') })
    })
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
    return { seen, url: `http://127.0.0.1:${server.address().port}/hook`, stop: () => new Promise(resolve => server.close(resolve)) }
}

export async function webhooks(watched, page, api) {
    const customer = await receiver()
    try {
        await page.goto(`${api}/admin/webhooks/`)
        await watched.look(page, 'webhooks-empty')
        await page.getByRole('link', { name: 'Add an endpoint' }).first().click()
        await page.getByLabel('URL').fill('ftp://example.com')
        await page.getByRole('button', { name: 'Add the endpoint' }).click()
        await page.locator('#url-error').waitFor()
        await watched.look(page, 'webhook-new-refused')
        await page.getByLabel('URL').fill(customer.url)
        await page.getByLabel('Description').fill('shop backend')
        await page.getByRole('button', { name: 'Add the endpoint' }).click()
        check((await page.locator('#secret').textContent()).startsWith('whsec_'), 'the secret is shown, once')
        await page.getByRole('link', { name: /to the endpoint/ }).click()
        check(!(await page.content()).includes('whsec_'), 'the endpoint does not show its secret')
        await page.getByRole('button', { name: 'Post a test' }).click()
        await says(page, 'The receiver took it.')
        await watched.look(page, 'webhook')
        await page.getByRole('link', { name: 'webhook.tested' }).first().click()
        await watched.look(page, 'delivery')
        const before = customer.seen.length
        await page.getByRole('button', { name: 'Post again' }).click()
        await says(page, 'On their way again.'.slice(0, 2))
        await until('the replay to arrive', () => customer.seen.length > before)
        check(true, 'a delivery is posted again')
        await page.getByRole('link', { name: 'Endpoint' }).click()
        await page.getByLabel('From day').fill('2020-01-01')
        await page.getByLabel('What').selectOption('all')
        await page.locator('form[action$="/replay/"] button').click()
        await says(page, 'On their way again:')
        await page.getByRole('link', { name: 'Change', exact: true }).click()
        await page.getByLabel('message.received').check()
        await page.getByRole('button', { name: 'Save' }).click()
        await says(page, 'The webhook endpoint was changed.')
        await page.getByRole('link', { name: 'New secret' }).click()
        await watched.look(page, 'webhook-rotate-dialog')
        await page.locator('dialog[open]').getByRole('button', { name: 'Make a new secret' }).click()
        await page.locator('#secret').waitFor()
        await page.getByRole('link', { name: /to the endpoint/ }).click()
        await page.getByRole('link', { name: 'Delete' }).click()
        await page.locator('dialog[open]').getByRole('button', { name: 'Delete the endpoint' }).click()
        await says(page, 'The webhook endpoint was deleted.')
    } finally {
        await customer.stop()
    }
}

/** The id of the first user in the list. */
async function firstUser(page, api) {
    await page.goto(`${api}/admin/users/`)
    return (await page.locator('a.name').first().getAttribute('href')).split('/')[3]
}

export async function logs(watched, page, api) {
    await page.goto(`${api}/admin/requests/`)
    await watched.look(page, 'requests')
    await page.goto(`${api}/admin/audit/`)
    check(await page.locator('.top .badge', { hasText: 'verified' }).count() === 1, 'the audit log says whether it was verified')
    await page.getByRole('button', { name: 'Verify the whole log' }).click()
    await says(page, 'Verified: The audit log is whole.')
    await watched.look(page, 'audit')
    await page.getByLabel('Action').fill('session')
    await page.getByRole('button', { name: 'Find' }).click()
    check(await page.getByText('session.link_begun').count() > 0, 'the audit log is narrowed to what was done to sessions')
    await page.getByRole('link', { name: 'Clear' }).click()
    await page.waitForURL(url => url.search === '')
    check(true, 'and shown whole again')
    await page.goto(`${api}/admin/messages/?user=${await firstUser(page, api)}`)
    await page.getByLabel('Status').focus()
    await page.keyboard.press('ArrowDown')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.waitForURL(/status=scheduled/)
    check(/user=/.test(page.url()), 'a choice made by keys waits for Find, and the list stays that of one user')
    await page.goto(`${api}/admin/jobs/`)
    await watched.look(page, 'jobs')
    await page.getByRole('button', { name: /^Run now/ }).first().click()
    await says(page, 'The schedule is about to run.')
    await page.goto(`${api}/admin/settings/`)
    await page.getByText('sandbox.enabled', { exact: true }).waitFor()
    await watched.look(page, 'settings')
}

/** Offline and back, unlinked by the phone, deleted here. */
export async function leave(watched, session, card) {
    await session.getByRole('button', { name: 'Go offline' }).click()
    await says(session, 'Offline.')
    await session.getByRole('button', { name: 'Reconnect' }).click()
    await session.getByText('connected', { exact: true }).waitFor()
    await card.getByRole('button', { name: /Go offline/ }).click()
    await card.getByText('offline', { exact: true }).waitFor()
    await card.getByRole('button', { name: /Go online/ }).click()
    await card.getByText('online', { exact: true }).waitFor()
    await card.getByRole('button', { name: /^Unlink/ }).click()
    await session.getByText('logged out', { exact: true }).waitFor()
    check(true, 'a phone that unlinks is seen on the page of the session')
    await watched.look(session, 'session-logged-out')
    await session.getByRole('link', { name: 'Delete the session' }).click()
    await session.locator('dialog[open]').getByRole('button', { name: 'Delete the session' }).click()
    await session.getByText('No WhatsApp account is linked yet').waitFor()
}
