namespace RawDiffusion.Tests.Backends;

[CollectionDefinition(nameof(WorkersTests))]
public class WorkersTests
{
}
