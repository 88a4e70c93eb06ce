"""What the callers of `sample` say: our own sentences, by the intents of MInDS-14.

Transcripts as MInDS-14 writes them: no punctuation, numbers in words. The parts share no sentence,
and none is in the text that the embedded model learnt from.
"""

from __future__ import annotations

TRAIN = {
    "abroad": [
        "I'm flying to Portugal on Friday so will my card work over there",
        "hi I'm travelling around Asia this summer and want to let you know",
        "what does it cost me to take out cash while I'm in Canada",
        "my card got turned down in a hotel in Rome can you help",
        "is there an extra fee when I pay in a shop outside the country",
        "please put a note on my account that I'm overseas until March",
    ],
    "address": [
        "I've just moved house and need to give you my new address",
        "can you change the street name you have for me please",
        "my letters still go to the old flat so please update that",
        "we're moving to Chicago next month how do I tell the bank",
        "you've got the wrong postcode on my statement",
        "I'd like my mail sent to my office from now on",
    ],
    "app_error": [
        "the app keeps closing every time I try to log in",
        "I updated my phone and now your app won't open at all",
        "there's an error message on the screen whenever I tap on payments",
        "your mobile app is stuck on the loading page again",
        "I can't get past the fingerprint screen in the app",
        "the app says I'm offline but everything else works fine",
    ],
    "atm_limit": [
        "how much money can I take out of the cash machine each day",
        "I'd like to raise my daily limit for withdrawals",
        "the machine only gave me two hundred is that the most I can get",
        "could you lower the amount that I can withdraw in one day",
        "does my limit start over at midnight or after a full day",
        "I need five hundred dollars tonight but the machine won't let me",
    ],
    "balance": [
        "hello can you tell me how much money I've got left",
        "what's in my savings account right now",
        "I just want to hear my current balance please",
        "has my balance gone below one hundred pounds",
        "how much do I have to spend until payday",
        "could you read me the balances of both my accounts",
    ],
    "business_loan": [
        "I'm opening a bakery and I'd like to borrow some money",
        "what interest do you charge on a loan for a small company",
        "my business needs a new van can you lend us the money",
        "which papers should I bring to apply for a company loan",
        "can a firm that's only one year old get a loan from you",
        "I want to talk to somebody about money to grow my shop",
    ],
    "card_issues": [
        "the chip on my card has stopped working",
        "my card was refused at the grocery store this morning",
        "the machine swallowed my card and didn't give it back",
        "my new card still hasn't come in the mail",
        "I bent my card and now no shop will take it",
        "contactless doesn't work for me any more what's wrong",
    ],
    "cash_deposit": [
        "where's the nearest place to pay in some cash",
        "I've got a jar of coins here can I bring them to the branch",
        "is there a limit on how much cash I'm allowed to put in",
        "I put three hundred into the machine and it isn't showing yet",
        "how long does it take before paid in cash is in my account",
        "may my sister pay money into my account at the counter",
    ],
    "direct_debit": [
        "I want to cancel the direct debit for my gym",
        "a company took money from me and I never agreed to it",
        "how do I set up a direct debit for my rent",
        "can you move my phone payment to the first of the month",
        "why did the electric company get paid twice in June",
        "please list all the direct debits that leave my account",
    ],
    "freeze": [
        "I think I left my card in a taxi please freeze it",
        "lock my account now somebody has stolen my purse",
        "can I block my card for a few days and then use it again",
        "there are payments I don't know so stop everything right away",
        "I found my card under the sofa can you unfreeze it",
        "please put a hold on my wife's card it's gone missing",
    ],
    "high_value_payment": [
        "I'm buying a house and have to send a very large sum today",
        "what's the most that I can transfer in one go",
        "I want to pay twenty thousand dollars to a car dealer",
        "do you need to check with me before a big payment goes out",
        "is there a charge for sending a large amount to my lawyer",
        "my transfer of nine thousand was blocked can you let it through",
    ],
    "joint_account": [
        "my husband and I would like to open an account together",
        "how do I add my girlfriend to the account that I have",
        "do we both have to come in to start a joint account",
        "will we each get our own card with a shared account",
        "I'm getting divorced and want to close our joint account",
        "can my son and I share one account while he's at college",
    ],
    "latest_transactions": [
        "what were the last five payments on my card",
        "I'd like to know what I spent over the weekend",
        "did my salary come in yesterday",
        "there's a payment of forty dollars here that I don't recognise",
        "can you read out what went through my account today",
        "who did I send money to on Tuesday evening",
    ],
    "pay_bill": [
        "I need to pay my water bill before it's late",
        "can I settle this month's gas bill over the phone with you",
        "how do I pay the council tax from my account",
        "I've got a bill from the dentist and want to pay half now",
        "please send sixty dollars to the phone company",
        "my credit card bill is due today can you take it from savings",
    ],
}

TEST = {
    "abroad": [
        "I'm off to Greece for a week what will you charge me for using my card",
        "I'm in Mexico right now and the cash machine won't take my card",
        "do I have to tell you before I go to Japan",
    ],
    "address": [
        "I moved in with my parents so my address is different now",
        "how can I change where you send my letters",
        "please check which home address you've got for me",
    ],
    "app_error": [
        "your app crashed while I was sending money to a friend",
        "I've tried three times and the app won't accept my password",
        "the app shows a blank page after I sign in",
    ],
    "atm_limit": [
        "what's the highest amount I can get from a machine in one day",
        "I want to take out more cash than my limit allows",
        "can you double my cash limit just for this weekend",
    ],
    "balance": [
        "I'd like to check how much is left in my account",
        "is there enough money in there to cover my rent",
        "tell me what my balance was at the end of last month",
    ],
    "business_loan": [
        "we run a small restaurant and need a loan for a new kitchen",
        "how long does it take until a business loan is approved",
        "could my company borrow fifty thousand over ten years",
    ],
    "card_issues": [
        "my card doesn't work in any shop since yesterday",
        "the numbers on my card have worn off can I get another one",
        "I typed the wrong pin too often and now it's blocked",
    ],
    "cash_deposit": [
        "can I deposit cash at the branch on Saturday morning",
        "I'd like to pay in two thousand dollars from a yard sale",
        "which of your machines take coins as well as notes",
    ],
    "direct_debit": [
        "please stop the monthly payment to my old insurance company",
        "my direct debit bounced what do I do now",
        "I want the magazine people to quit taking money every month",
    ],
    "freeze": [
        "I've lost my wallet so please lock all of my cards",
        "somebody's using my card online freeze the account right now",
        "how do I freeze my card until I've looked everywhere",
    ],
    "high_value_payment": [
        "I have to send eighty thousand to the builder this week",
        "why can't I make such a large payment online",
        "how soon will a really big transfer reach the other bank",
    ],
    "joint_account": [
        "we just got married and would like a joint account",
        "can I take my brother's name off our shared account",
        "what do two people need to bring to open an account together",
    ],
    "latest_transactions": [
        "what did I buy with my card last night",
        "please go through my most recent payments with me",
        "I'm waiting for a refund has anything come in this week",
    ],
    "pay_bill": [
        "I'd like to pay my electric bill with you today",
        "can you tell me if the internet bill has been paid",
        "how do I make sure my heating bill is paid on time",
    ],
}
