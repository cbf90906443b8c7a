import { expect, test } from 'bun:test';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, findBarriers, openDashboard } from '../support/dashboard.ts';

closeAfterwards();

eachDatabase('workflows', kind => {
  test.skipIf(!hasBrowser)(
    'a workflow is drawn, its faults are shown at their nodes, a conflict is explained; it runs, and who stands where is seen',
    async () => {
      const { page, trouble, api, visit } = await openDashboard(kind);
      const expectFailure = (status: number) => {
        const found = trouble.findIndex(each => each.includes(`status of ${status}`));
        expect(found).toBeGreaterThanOrEqual(0);
        trouble.splice(found, 1);
      };
      await api('POST', '/contacts/create', { email: 'ada@example.com', userGroup: '<b>Team</b>' });
      await api('POST', '/email-messages', { subject: '<i>Thanks</i>', html: '<p>Thanks</p>' });
      await visit('/workflows');
      await page.getByText('A workflow does something').waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByRole('link', { name: 'Make a workflow' }).first().press('Enter');
      await page.getByLabel('Name').fill('<b>Paid</b>');
      await page.getByLabel('Name').press('Enter');
      await page.getByRole('heading', { name: '<b>Paid</b>' }).waitFor();
      const id = /workflows\/(wf_\w+)/.exec(page.url())?.[1] ?? '';

      // the trigger
      await page.getByRole('button', { name: 'No trigger yet' }).click();
      await page.getByLabel('What starts the workflow').selectOption('EventTrigger');
      await page.getByLabel('Name of the event').fill('paid');
      // nodes on edges, by keyboard
      const insert = async (between: string, name: string) => {
        await page.getByRole('button', { name: `Insert between ${between}` }).press('Enter');
        await page.getByRole('menuitem', { name, exact: true }).press('Enter');
      };
      await insert('trigger and exit', 'Wait');
      await page.getByLabel('How long').fill('9999');
      // a menu is left with Escape, and gone through with arrows
      const plus = page.getByRole('button', { name: 'Insert between timer1 and exit' });
      await plus.press('Enter');
      await page.getByRole('menu').waitFor();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Escape');
      expect(await plus.evaluate(button => button === Reflect.get(globalThis, 'document').activeElement)).toBe(true);
      await insert('timer1 and exit', 'Branch');
      await page.getByRole('button', { name: 'Filter' }).first().click();
      await page.getByRole('button', { name: 'Add a condition' }).click();
      await page.getByLabel('Value').fill('<b>Team</b>');
      await insert('audienceFilter1 and exit', 'Send a mail');
      await page.getByLabel('Message').selectOption('<i>Thanks</i>');
      await page.getByRole('button', { name: 'Save the workflow' }).click();

      // what is wrong, at its node
      await page.getByRole('alert').getByText('366 days').first().waitFor();
      expectFailure(400);
      await page.locator('.box.wrong').click();
      await page.getByLabel('How long').fill('0');
      expect(await findBarriers(page)).toEqual([]);

      // somebody else was here
      await api('PUT', `/workflows/${id}/graph`, {
        rootNodeId: 'trigger',
        nodes: {
          trigger: { typeName: 'SignupTrigger', nextNodeIds: ['exit'] },
          exit: { typeName: 'ExitAction', nextNodeIds: [] },
        },
      });
      await page.getByRole('button', { name: 'Save the workflow' }).click();
      await page.getByText('Somebody else changed this workflow').waitFor();
      expectFailure(409);
      await page.getByRole('button', { name: 'Save mine in place of theirs' }).click();
      await page.getByText('Changed, and not saved yet').waitFor({ state: 'detached' });
      const saved = await api('GET', `/workflows/${id}`);
      expect(Object.keys(saved.nodes).sort()).toEqual(
        ['trigger', 'timer1', 'branch1', 'audienceFilter1', 'audienceFilter2', 'sendEmail1', 'exit'].sort(),
      );
      expect(saved.nodes.trigger).toMatchObject({ typeName: 'EventTrigger', eventName: 'paid', reEligible: true });

      // it lacks something before it can start: named, and put right
      await page.getByRole('button', { name: 'Start it' }).click();
      await page.getByRole('alert').getByText('audienceFilter2').waitFor();
      expectFailure(400);
      await page.getByRole('button', { name: /^Filter\s*not set yet/ }).click();
      await page.getByRole('button', { name: 'Remove this node' }).click();
      await page.getByRole('button', { name: 'Undo' }).click();
      await page.getByRole('button', { name: /^Filter\s*not set yet/ }).click();
      await page.getByRole('button', { name: 'Remove this node' }).click();
      await page.getByRole('button', { name: 'Save the workflow' }).click();
      await page.getByText('Changed, and not saved yet').waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Start it' }).click();
      await page.getByText('Its trigger is heard.').waitFor();

      // the way of one contact, drawn
      await page.getByLabel('As this contact').fill('ada@example.com');
      await page.getByRole('button', { name: 'Draw the way' }).click();
      await page.getByText('It would be completed').waitFor();
      expect(await page.locator('.box.way').count()).toBe(6);
      expect(await page.locator('path.way').count()).toBe(5);

      // somebody goes through: counted at the nodes, and found from there
      await api('POST', '/events/send', { email: 'ada@example.com', eventName: 'paid' });
      for (let tries = 0; tries < 100; tries++) {
        const { runs } = await api('GET', `/workflows/${id}/counts`);
        if (runs.completed === 1) break;
        await Bun.sleep(50);
      }
      await page.reload();
      await page.getByRole('button', { name: 'Send a mail' }).click();
      await page.getByRole('link', { name: '1 sent' }).click();
      await page.getByText('Who came to').waitFor();
      expect(page.url()).toContain('nodeId=sendEmail1');
      await page.getByRole('link', { name: 'its steps' }).click();
      await page.getByRole('link', { name: 'the mail' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await visit(`/workflows/${id}?tab=runs&status=failed`);
      await page.getByText('Nothing matches.').waitFor();

      await visit(`/workflows/${id}?tab=settings`);
      await page.getByLabel('Events that end a run').fill('refunded');
      await page.getByRole('button', { name: 'Save the settings' }).click();
      await page.getByText('Saved.').waitFor();
      expect((await api('GET', `/workflows/${id}`)).exitOn).toEqual([{ eventName: 'refunded' }]);
      expect(await findBarriers(page)).toEqual([]);

      // or from a recipe
      await visit('/workflows/add');
      await page.getByRole('heading', { name: 'Or begin with a recipe' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByRole('button', { name: 'Use “Dunning”' }).press('Enter');
      await page.getByText('nobody is mailed before you start it').waitFor();
      await page.getByRole('link', { name: 'Look at the workflow' }).press('Enter');
      await page.locator('.box', { hasText: 'Send a mail' }).first().waitFor();
      expect(await findBarriers(page)).toEqual([]);

      // the greeting of a recipe, from its start to the mail that is read
      await visit('/workflows/add');
      await page.getByRole('button', { name: 'Use “Welcome”' }).click();
      await page.getByRole('link', { name: 'Look at the workflow' }).click();
      await page.getByRole('button', { name: 'Start it' }).click();
      await page.getByText('Its trigger is heard.').waitFor();
      await api('POST', '/contacts/create', { email: 'new@example.com', firstName: 'Grace' });
      for (let tries = 0; tries < 100; tries++) {
        if ((await api('GET', '/mails?email=new@example.com')).data[0]?.subject) break;
        await Bun.sleep(50);
      }
      await visit('/mails?email=new@example.com');
      await page.getByRole('link', { name: 'Welcome, Grace' }).click();
      await page.frameLocator('iframe').frameLocator('iframe').getByText('Hello Grace').waitFor();
      expect(trouble).toEqual([]);
    },
    120_000,
  );
});
