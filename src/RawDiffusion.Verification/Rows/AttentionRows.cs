namespace RawDiffusion.Verification.Rows;

internal static class AttentionRows
{
    public static IEnumerable<OperationCase> Cases()
    {
        yield break;
    }
}
