"""What the hub keeps in its database: accounts, repositories, versions, whose block is whose."""
